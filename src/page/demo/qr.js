const SVG = 'http://www.w3.org/2000/svg';
/** The margin that scanners need, in modules. */
const MARGIN = 4;

/** Draws a QR code: dark on light in both colour schemes, as not every scanner reads inverted ones. */
export async function drawQr(text, label) {
  const { encodeQR } = await import('/page/vendor/qr.js');
  const rows = encodeQR(text, 'raw', { ecc: 'medium', border: MARGIN });
  const dark = rows.flatMap((row, y) => row.map((isDark, x) => (isDark ? `M${x} ${y}h1v1h-1z` : '')));
  const image = create('svg', {
    viewBox: `0 0 ${rows.length} ${rows.length}`,
    role: 'img',
    'aria-label': label,
    'shape-rendering': 'crispEdges',
  });
  image.append(
    create('rect', { width: '100%', height: '100%', fill: '#fff' }),
    create('path', { d: dark.join(''), fill: '#000' }),
  );
  return image;
}

function create(name, attributes) {
  const created = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) created.setAttribute(key, value);
  return created;
}
