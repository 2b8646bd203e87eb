import { writeFileSync } from 'node:fs';
import { printSchema } from 'graphql';
import { schema } from '../src/admin/index.ts';

writeFileSync(new URL('../admin.graphql', import.meta.url), `${printSchema(schema)}\n`);
