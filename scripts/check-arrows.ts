import { dirname } from 'node:path';
import { checkImports } from './arrows.ts';

const { modules, imports, violations } = checkImports(dirname(import.meta.dirname));
for (const { file, line, message } of violations) console.error(`${file}:${line}: ${message}`);
console.log(`${modules} modules, ${imports} imports, ${violations.length} violations of import boundaries`);
process.exitCode = violations.length === 0 ? 0 : 1;
