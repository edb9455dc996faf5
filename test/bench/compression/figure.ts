/** Which lines the committed plot shows, in which colours. */
import type { PairSection } from './markdown.js';
import type { Measurement } from './measure.js';
import type { Family, PairKind } from './methods.js';
import { type PlotPanel, type PlotSeries, renderPlot } from './plot.js';

const LINES: readonly (Omit<PlotSeries, 'points' | 'label'> & {
  readonly family: Family;
  readonly label?: string;
})[] = [
  { family: 'default', label: 'ERE', color: '#0b5fc0', isStrong: true },
  { family: 'effort max', label: 'ERE, effort max', color: '#0b5fc0', isScattered: true },
  { family: 'ere-paper', color: '#b4530a' },
  { family: 'delta-come', color: '#7a3fa8' },
  { family: 'bitdelta', color: '#b3185a' },
  { family: 'lora', color: '#3f7318' },
];

const BOUND_COLOR = '#6b7480';

export function figureOf(sections: ReadonlyMap<PairKind, PairSection>): string {
  const panels = (['tinylm', 'heavy-tailed'] as const).flatMap((kind) => {
    const section = sections.get(kind);
    return section === undefined ? [] : [panelOf(section, kind)];
  });
  return renderPlot('Rate–distortion curves: signal to noise over bits per weight', panels);
}

/** tinylm has the bound: a heavy-tailed residual is not what it is about. Effort max shows where it differs. */
function panelOf({ pair, measurements }: PairSection, kind: 'tinylm' | 'heavy-tailed'): PlotPanel {
  const lines = kind === 'tinylm' ? LINES.filter(({ family }) => family !== 'effort max') : LINES;
  const series = lines.map(
    ({ family, label = family, ...style }): PlotSeries => ({
      ...style,
      label,
      points: measurements.filter((point) => point.family === family),
    }),
  );
  const bound = kind === 'tinylm' ? boundOf(measurements) : [];
  return {
    title: pair.title,
    series: [...series, { label: 'Gaussian bound', color: BOUND_COLOR, points: bound, isBound: true }],
  };
}

/** The bound at the errors of the default. */
function boundOf(measurements: readonly Measurement[]): PlotSeries['points'] {
  return measurements.flatMap(({ family, boundBits, squaredError }) =>
    family === 'default' && boundBits !== undefined && boundBits > 0
      ? [{ bitsPerWeight: boundBits, squaredError }]
      : [],
  );
}
