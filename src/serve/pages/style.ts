/**
 * The stylesheet of every page, as the text of its one `style` element: a Content-Security-Policy allows it by the
 * SHA-256 of exactly these characters. System fonts, light and dark as the reader's system is, and for paper.
 */
export const STYLE = `
:root {
  color-scheme: light dark;
  --page: #fdfdfc; --raised: #f3f4f2; --text: #1d2125; --quiet: #565e66; --rule: #d9dcdb; --link: #0a5a8c;
  --lane: #79838c; --node: #0a5a8c; --shade: #1d212526;
  --mono: ui-monospace, SFMono-Regular, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #15181b; --raised: #1f2428; --text: #e2e5e7; --quiet: #9ea7af; --rule: #333a40; --link: #86bfe8;
    --lane: #77828b; --node: #86bfe8; --shade: #ffffff2e;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0 auto; padding: 0 1.5rem 2rem; max-width: 76rem;
  background: var(--page); color: var(--text);
  font: 0.9375rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", "Liberation Sans", Arial, sans-serif;
}
h1, h2, p, dl, dd, ol, ul, pre { margin: 0; padding: 0; }
h1 { font-size: 1.75rem; line-height: 1.25; font-weight: 650; letter-spacing: -0.01em; overflow-wrap: anywhere; }
h2 { margin: 2.25rem 0 0.5rem; font-size: 1.125rem; line-height: 1.3; font-weight: 650; }
a { color: var(--link); text-decoration: underline; text-decoration-thickness: 1px; text-underline-offset: 0.18em; }
a:hover { text-decoration-thickness: 2px; }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; border-radius: 2px; }
code, pre { font-family: var(--mono); font-size: 0.875em; }
a, code, td, th, dd, .mark, .owner { unicode-bidi: isolate; }
header { padding: 1rem 0; margin-bottom: 1.25rem; border-bottom: 1px solid var(--rule); }
header ol { display: flex; flex-wrap: wrap; list-style: none; font-size: 0.875rem; }
header li { overflow-wrap: anywhere; }
header li + li::before { content: "/"; margin: 0 0.5rem; color: var(--quiet); }
header span { color: var(--quiet); }
header li:first-child { font-weight: 650; letter-spacing: 0.02em; }
header li:first-child a { color: inherit; text-decoration: none; }
main > * + * { margin-top: 1rem; }
h1 + .lead, h1 + .subject { margin-top: 0.25rem; }
.subject { font-size: 1.0625rem; overflow-wrap: anywhere; }
.lead { color: var(--quiet); overflow-wrap: anywhere; }
.owner, h1 .id { color: var(--quiet); font-weight: 400; }
h1 .id { font-size: 0.7em; letter-spacing: 0; white-space: nowrap; }
.message { white-space: pre-wrap; overflow-wrap: anywhere; max-width: 46rem; }
.note { margin-top: 0.5rem; max-width: 46rem; color: var(--quiet); font-size: 0.8125rem; }
.note b { font-weight: 600; color: var(--text); }
.quiet, .status { color: var(--quiet); }
.status { font-size: 1.125rem; font-variant-numeric: tabular-nums; }
.status + h1 { margin-top: 0; }
.mark {
  display: inline-block; padding: 0 0.4em; border: 1px solid var(--rule); border-radius: 3px; background: var(--raised);
  font-size: 0.8125em; line-height: 1.45; overflow-wrap: anywhere;
}
.facts, .commands { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 0.25rem 1.25rem; }
.facts dt { color: var(--quiet); }
.facts dd { overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.refs { display: flex; flex-wrap: wrap; gap: 0.25rem 1rem; list-style: none; }
.commands { grid-template-columns: minmax(0, 1fr); margin-top: 0.75rem; }
.commands dt { color: var(--quiet); font-size: 0.8125rem; }
.commands dd + dt { margin-top: 0.5rem; }
pre { padding: 0.5rem 0.75rem; overflow-x: auto; background: var(--raised); border-radius: 4px; line-height: 1.6; }
pre code { font-size: 0.8125rem; }
.scroll {
  overflow-x: auto; overscroll-behavior-x: contain;
  background:
    linear-gradient(to right, var(--page) 30%, transparent) left / 2rem 100% no-repeat local,
    linear-gradient(to left, var(--page) 30%, transparent) right / 2rem 100% no-repeat local,
    linear-gradient(to right, var(--shade), transparent) left / 0.6rem calc(100% - 2px) no-repeat scroll,
    linear-gradient(to left, var(--shade), transparent) right / 0.6rem calc(100% - 2px) no-repeat scroll;
}
table { width: 100%; border-collapse: separate; border-spacing: 0; font-size: 0.875rem; font-variant-numeric: tabular-nums; }
caption { padding-bottom: 0.375rem; text-align: left; color: var(--quiet); font-size: 0.8125rem; }
caption span { position: sticky; left: 0; display: block; max-width: calc(100vw - 2rem); }
th, td { padding: 0.3125rem 0.5625rem; border-bottom: 1px solid var(--rule); text-align: left; font-weight: 400; white-space: nowrap; }
th:first-child, td:first-child { padding-left: 0.25rem; }
th:last-child, td:last-child { padding-right: 0.25rem; }
thead th { vertical-align: bottom; color: var(--quiet); font-size: 0.8125rem; border-bottom-color: var(--quiet); }
tbody th[scope="row"] { font-weight: 500; }
tfoot th, tfoot td { border-bottom: 0; color: var(--quiet); }
.n { text-align: right; }
td.title { width: 100%; min-width: 16rem; white-space: normal; overflow-wrap: anywhere; }
td.wrap { min-width: 8.5rem; white-space: normal; }
table.files { width: auto; min-width: min(36rem, 100%); }
.digest { display: inline-block; max-width: 13ch; overflow: hidden; text-overflow: ellipsis; vertical-align: bottom; }
td.lineage { position: relative; padding: 0 0.25rem 0 0; border-bottom: 0; }
td.lineage svg { display: block; }
.lanes { position: absolute; top: 0; left: 0; stroke: var(--lane); stroke-width: 1.5; stroke-linecap: square; }
.lanes .gap { stroke: var(--page); stroke-width: 7; stroke-linecap: butt; }
.lanes circle { fill: var(--node); stroke: var(--node); }
.lanes circle.root { fill: var(--page); stroke-width: 2; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
details { margin-top: 1rem; }
summary { cursor: pointer; color: var(--link); }
details[open] summary { margin-bottom: 0.75rem; }
.pages ol { display: flex; flex-wrap: wrap; gap: 0.25rem 0.875rem; margin-top: 1rem; list-style: none; font-variant-numeric: tabular-nums; }
.pages [aria-current] { color: var(--text); font-weight: 650; text-decoration: none; }
footer { margin-top: 3rem; padding-top: 0.75rem; border-top: 1px solid var(--rule); color: var(--quiet); font-size: 0.8125rem; }
@media (max-width: 40rem) {
  body { padding: 0 1rem 1.5rem; }
  h1 { font-size: 1.4375rem; }
  .facts { column-gap: 0.75rem; }
  .facts dt { font-size: 0.875rem; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; }
  th, td { padding: 0.3125rem 0.4375rem; }
  td.wrap { white-space: nowrap; }
}
@media print {
  :root {
    color-scheme: light;
    --page: #fff; --raised: #fff; --text: #000; --quiet: #444; --rule: #bbb; --link: #000; --lane: #666; --node: #000;
  }
  html { font-size: 8pt; }
  body { max-width: none; padding: 0; }
  .scroll { overflow: visible; background: none; }
  th, td { padding: 0.2rem 0.3rem; white-space: normal; }
  td.title, td.wrap { width: auto; min-width: 0; }
  td.n, time, .tensors td:not(.wrap) { white-space: nowrap; }
  .files th code, .tensors th code { overflow-wrap: anywhere; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; padding: 0; }
  .digest { display: inline; overflow-wrap: anywhere; }
  thead { display: table-header-group; }
  tr, h2 { break-inside: avoid; break-after: auto; }
  h2 { break-after: avoid; }
  .pages, header { display: none; }
}
`;
