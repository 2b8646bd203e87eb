const SIZE = { width: 640, height: 360 };

/** Draws a picture, so that there is a file to send. Each is different. */
export async function createPicture() {
  const canvas = new OffscreenCanvas(SIZE.width, SIZE.height);
  const context = canvas.getContext('2d');
  const hue = Math.random() * 360;
  const sky = context.createLinearGradient(0, 0, 0, SIZE.height);
  sky.addColorStop(0, `hsl(${hue} 60% 28%)`);
  sky.addColorStop(1, `hsl(${hue + 60} 80% 78%)`);
  context.fillStyle = sky;
  context.fillRect(0, 0, SIZE.width, SIZE.height);
  context.fillStyle = `hsl(${hue + 50} 95% 92%)`;
  context.beginPath();
  context.arc(120 + Math.random() * 400, 110, 44, 0, 2 * Math.PI);
  context.fill();
  for (const layer of [0, 1, 2]) {
    context.fillStyle = `hsl(${hue + 20} 45% ${34 - layer * 10}%)`;
    context.beginPath();
    context.moveTo(0, SIZE.height);
    const phase = Math.random() * 6;
    for (let x = 0; x <= SIZE.width; x += 8)
      context.lineTo(x, 190 + layer * 55 + 34 * Math.sin(x / (70 + layer * 30) + phase));
    context.lineTo(SIZE.width, SIZE.height);
    context.fill();
  }
  const blob = await canvas.convertToBlob({ type: 'image/png' });
  return new File([blob], 'picture.png', { type: 'image/png' });
}
