import type { AdminContext } from '../admin/context.ts';
import { schema } from '../admin/index.ts';
import { createOperatorGraphql } from '../gateway/http/operator-graphql.ts';
import type { Route } from '../gateway/http/router.ts';
import type { Ports } from '../gateway/ports.ts';

/** Returns the routes of the operators' API. */
export function operatorRoutes({ deps, addressOf, formatError, metrics }: Ports, nodeId: string): Route[] {
  const path = '/admin/graphql';
  const handle = createOperatorGraphql({
    path,
    schema,
    contextOf: (request): AdminContext => ({
      deps,
      operator: { address: addressOf(request), nodeId, nodeName: deps.config.NODE_NAME ?? null },
    }),
    formatError,
    metrics,
    config: deps.config,
    log: deps.log,
  });
  return [{ path, methods: ['GET', 'HEAD', 'POST'], handle, isForOperators: true }];
}
