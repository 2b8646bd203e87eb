import type { Ports } from '../ports.ts';
import type { OriginOf } from './operation-origin.ts';
import type { IdentifyRequest } from './request-identity.ts';

/** The dependencies of GraphQL over HTTP. */
export interface GraphqlHttpPorts extends Ports {
  readonly originOf: OriginOf;
  readonly identifyRequest: IdentifyRequest;
}
