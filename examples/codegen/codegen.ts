import type { CodegenConfig } from '@graphql-codegen/cli';

const config: CodegenConfig = {
  schema: '../../schema.graphql',
  documents: ['*.ts', '!codegen.ts'],
  generates: {
    './gql/': {
      preset: 'client',
      presetConfig: { fragmentMasking: false },
      config: {
        documentMode: 'string',
        useTypeImports: true,
        strictScalars: true,
        scalars: {
          ID: 'string',
          Cursor: 'string',
          DateTime: 'string',
          Date: 'string',
          JSON: 'unknown',
          Upload: 'File',
        },
      },
    },
  },
  importExtension: '.ts',
};

export default config;
