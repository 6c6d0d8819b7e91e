// Short names for the shapes of the generated client.
import type { components, paths } from "./schema";

type Schemas = components["schemas"];

export type Overview = Schemas["OverviewView"];
export type Finding = Schemas["FindingView"];
export type Tenant = Schemas["TenantView"];
export type Condition = Schemas["ConditionView"];
export type FindingQuery = NonNullable<paths["/v1/findings"]["get"]["parameters"]["query"]>;
