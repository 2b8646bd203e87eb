/** What the names of the workers' databases begin with; `global-setup.ts` removes those on a server that was given. */
export const OWN_DATABASES = 'parley_test_';
