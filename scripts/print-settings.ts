// Writes src/settings.generated.ts: the type of the settings of createGateway, with the descriptions of the variables.
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { VARIABLES } from '../src/config-variables.ts';

const members = Object.entries(VARIABLES).map(
  ([name, { default: fallback, description }]) =>
    `  /**\n   * ${description.replaceAll('*/', '* /')}\n   *\n   * Default: ${fallback}\n   */\n  readonly ${name}?: SettingValue;\n`,
);

writeFileSync(
  join(dirname(import.meta.dirname), 'src/settings.generated.ts'),
  `// Generated from src/config-variables.ts by scripts/print-settings.ts.

/** The text of an environment variable, a number, or a list in place of comma-separated text. */
export type SettingValue = string | number | readonly string[] | undefined;

/** The settings, by the names of the environment variables (docs/configuration.md). */
export interface Settings {
${members.join('')}}
`,
);
