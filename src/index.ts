export { ConfigError } from './config.ts';
export { createGateway, readSettings } from './create-gateway.ts';
export type { Gateway, GatewayOptions } from './create-gateway.ts';
export { StartError } from './lib/startup-error.ts';
export type { Logger } from './log.ts';
export type {
  ExtensionContext,
  ExtensionField,
  ExtensionResolver,
  ExtensionResolvers,
  ParentTypes,
  SchemaExtension,
} from './schema/extension-types.ts';
export type { Authenticate, ExternalUser } from './services/authenticate.ts';
export type { Settings, SettingValue } from './settings.generated.ts';
export type { RouteGroup } from './app/route-groups.ts';
