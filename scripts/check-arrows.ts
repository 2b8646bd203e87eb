import { dirname } from 'node:path';
import { readArrows } from './arrows.ts';

const { modules, imports, violations } = readArrows(dirname(import.meta.dirname));
for (const { file, line, message } of violations) console.error(`${file}:${line}: ${message}`);
console.log(`${modules} modules, ${imports} imports, ${violations.length} against the arrows`);
process.exitCode = violations.length === 0 ? 0 : 1;
