/** How to download a version with the clients that people have. */
import type { ServedFile } from '../catalog.js';
import { type Html, html } from './html.js';
import { shellWord } from './shell-word.js';
import { fileUrl } from './urls.js';

export interface DownloadHelp {
  /** `http://host:port`, as clients reach the server. */
  readonly origin: string;
  readonly model: string;
  /** Commit to download; default: the newest. */
  readonly revision?: string;
  /** Files of the version; none where they are not known. */
  readonly files: readonly Pick<ServedFile, 'path' | 'kind'>[];
}

/** A section of the page. */
export function downloadSection({ origin, model, revision, files }: DownloadHelp): Html {
  const file = files.find(({ kind }) => kind === 'weights') ?? files[0];
  const path = file === undefined ? undefined : fileUrl(model, revision ?? 'main', file.path);
  const only = revision === undefined ? '' : ` --revision ${shellWord(revision)}`;
  const python = revision === undefined ? '' : `, revision=${pythonText(revision)}`;
  return html`<section aria-labelledby="download">
<h2 id="download">Download</h2>
<p>Clients of the Hub see whole, rebuilt weights once <code>HF_ENDPOINT</code> names this server.</p>
<dl class="commands">
<dt>Command line</dt>
<dd><pre tabindex="0"><code>HF_ENDPOINT=${shellWord(origin)} hf download ${shellWord(model)}${only}</code></pre></dd>
<dt>Python, with <code>HF_ENDPOINT</code> set</dt>
<dd><pre tabindex="0"><code>AutoModel.from_pretrained(${pythonText(model)}${python})</code></pre></dd>${
    path === undefined
      ? undefined
      : html`
<dt>One file</dt>
<dd><pre tabindex="0"><code>curl --fail --location --remote-name ${shellWord(origin + path)}</code></pre></dd>`
  }
</dl>
</section>`;
}

/** A literal of Python: JSON's escapes are Python's too. */
function pythonText(text: string): string {
  return JSON.stringify(text);
}
