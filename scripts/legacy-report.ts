// Prints the usage report of a running gateway's legacy clients: npm run legacy-report -- [days] [url]
// Sends the ADMIN_TOKEN of the environment.
const { PORT = '4000', ADMIN_TOKEN } = process.env;
const headers = new Headers(ADMIN_TOKEN === undefined ? [] : [['authorization', `Bearer ${ADMIN_TOKEN}`]]);
const [days = '30', url = `http://127.0.0.1:${PORT}`] = process.argv.slice(2);

try {
  const response = await fetch(new URL(`/legacy-report?days=${encodeURIComponent(days)}`, url), { headers });
  const text = await response.text();
  if (response.ok) process.stdout.write(text);
  else fail(text.trimEnd());
} catch (error) {
  fail(`No gateway responds at ${url}: ${error instanceof Error ? error.message : String(error)}`);
}

function fail(message: string): void {
  console.error(message);
  process.exitCode = 1;
}
