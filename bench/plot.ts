/** A bar of a plot. Without a value it is labelled "not measured". */
export interface Bar {
  readonly label: string;
  readonly value: number | undefined;
  /** Highlights the bar. */
  readonly isOurs: boolean;
}

/** Bars to compare. */
export interface Group {
  readonly title: string;
  readonly bars: readonly Bar[];
}

export interface Plot {
  readonly title: string;
  readonly unit: string;
  readonly groups: readonly Group[];
}

const WIDTH = 760;
const LABELS = 190;
const VALUES = 90;
const BAR = 18;
const STEP = 24;
const HEAD = 58;
const GROUP = 34;

/** Legible on light and dark backgrounds. */
const INK = '#7a828c';
const OURS = '#2f81f7';
const OTHERS = '#9aa4b0';

/** Draws horizontal bars as SVG, on one scale from zero. */
export function drawPlot({ title, unit, groups }: Plot): string {
  const values = groups.flatMap(({ bars }) => bars.flatMap(({ value }) => value ?? []));
  const scale = (WIDTH - LABELS - VALUES) / Math.max(...values);
  const parts: string[] = [];
  let y = HEAD;
  for (const group of groups) {
    parts.push(drawText(0, y + 16, group.title, 'font-weight="600"'));
    y += 26;
    for (const { label, value, isOurs } of group.bars) {
      parts.push(drawText(LABELS - 10, y + 14, label, 'text-anchor="end"'));
      if (value === undefined) parts.push(drawText(LABELS, y + 14, 'not measured'));
      else parts.push(...drawBar(y, value * scale, formatNumber(value), isOurs ? OURS : OTHERS));
      y += STEP;
    }
    y += GROUP - 26;
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" width="${WIDTH}" height="${y}" role="img" font-family="system-ui, sans-serif" font-size="13" fill="${INK}">`,
    `<title>${escapeXml(title)}</title>`,
    drawText(0, 18, title, 'font-size="16" font-weight="600"'),
    drawText(0, 40, unit),
    ...parts,
    '</svg>',
    '',
  ].join('\n');
}

function drawBar(y: number, width: number, value: string, color: string): string[] {
  const drawn = Math.max(width, 1).toFixed(1);
  return [
    `<rect x="${LABELS}" y="${y}" width="${drawn}" height="${BAR}" rx="2" fill="${color}"/>`,
    drawText(LABELS + width + 8, y + 14, value),
  ];
}

const drawText = (x: number, y: number, content: string, attributes = ''): string =>
  `<text x="${x.toFixed(1)}" y="${y}" ${attributes}>${escapeXml(content)}</text>`;

const escapeXml = (value: string): string =>
  value.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/** Formats a number with three significant digits and thousands separators. */
export function formatNumber(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}
