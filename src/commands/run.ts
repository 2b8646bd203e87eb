type Environment = Readonly<Record<string, string | undefined>>;

/** Runs a command and returns its output. Throws `ConfigError` and `StartError` with a message for the terminal. */
export type Run = (args: readonly string[], environment: Environment) => Promise<string>;
