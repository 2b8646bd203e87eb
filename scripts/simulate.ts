// Simulates a deployment by the capacity model of docs/scaling.md: npm run simulate -- --help
import { HELP, parseCommand } from './simulation/options.ts';
import type { Command } from './simulation/options.ts';
import { reportBenches, reportDeployment } from './simulation/report.ts';

function run(command: Command): string {
  if (command === 'help') return HELP;
  return command === 'benches' ? reportBenches() : reportDeployment(command);
}

try {
  console.log(run(parseCommand(process.argv.slice(2))));
} catch (error) {
  console.error(`${error instanceof Error ? error.message : String(error)}\nSee npm run simulate -- --help`);
  process.exitCode = 2;
}
