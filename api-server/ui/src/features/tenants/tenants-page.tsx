import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { useSearchParams } from "react-router";
import { api, body } from "../../api/client";
import type { Tenant } from "../../api/types";
import { TenantLink } from "../../app/tenant-link";
import { Card } from "../../components/card";
import { EmptyState } from "../../components/empty-state";
import { ErrorNotice } from "../../components/error-notice";
import { Pagination } from "../../components/pagination";
import { RelativeTime } from "../../components/relative-time";
import { Skeleton } from "../../components/skeleton";
import { useTenantEvents } from "./live";
import { LiveBadge } from "./live-badge";
import { Readiness, readyOf } from "./readiness";

const pageSize = 50;
const columns = ["slug", "plan", "ready", "score", "open", "agents", "age"] as const;

export function TenantsPage() {
  const { t } = useTranslation();
  const isLive = useTenantEvents();
  const [parameters, setParameters] = useSearchParams();
  const page = Math.max(1, Number(parameters.get("page") ?? "1") || 1);
  const tenants = useQuery({
    queryKey: ["tenants", page],
    queryFn: () => body(api.GET("/v1/tenants", { params: { query: { page, page_size: pageSize } } })),
    placeholderData: keepPreviousData,
  });
  return (
    <>
      <div className="mb-4 flex items-center justify-between">
        <h1 className="text-xl font-bold">{t("tenants.title")}</h1>
        <LiveBadge isLive={isLive} />
      </div>
      <Card>
        {tenants.error && <ErrorNotice error={tenants.error} onRetry={() => void tenants.refetch()} />}
        {tenants.isPending && <Skeleton className="h-64" />}
        {tenants.data?.total === 0 && <EmptyState title={t("tenants.empty")} hint={t("tenants.emptyHint")} />}
        {tenants.data && tenants.data.total > 0 && (
          <>
            <TenantTable tenants={tenants.data.items} />
            <Pagination
              page={page}
              pageSize={pageSize}
              total={tenants.data.total}
              onPage={(next) => {
                setParameters({ page: String(next) });
              }}
            />
          </>
        )}
      </Card>
    </>
  );
}

function TenantTable({ tenants }: { tenants: Tenant[] }) {
  const { t } = useTranslation();
  return (
    <div className="overflow-x-auto">
      <table className="w-full text-start">
        <thead className="text-muted border-line border-b text-xs">
          <tr>
            {columns.map((column) => (
              <th key={column} scope="col" className="px-2 py-2 text-start font-semibold whitespace-nowrap">
                {t(`tenants.${column}`)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody className="divide-line divide-y">
          {tenants.map((tenant) => (
            <TenantRow key={tenant.slug} tenant={tenant} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function TenantRow({ tenant }: { tenant: Tenant }) {
  const open = tenant.open_findings;
  return (
    <tr className="hover:bg-sunken">
      <td className="px-2 py-2">
        <TenantLink to={`/admin/tenants/${tenant.slug}`} className="text-link font-medium hover:underline">
          {tenant.display_name}
        </TenantLink>
        <span className="text-muted block text-xs" dir="ltr">
          {tenant.slug}
        </span>
      </td>
      <td className="px-2 py-2">{tenant.plan}</td>
      <td className="px-2 py-2 whitespace-nowrap">
        <Readiness status={readyOf(tenant.conditions)} />
        {!tenant.ready && <span className="text-muted ms-2 text-xs">{tenant.reason}</span>}
      </td>
      <td className="px-2 py-2">{tenant.score ?? "–"}</td>
      <td className="px-2 py-2">{open.critical + open.high}</td>
      <td className="px-2 py-2">
        {tenant.agents.ready}/{tenant.agents.desired}
      </td>
      <td className="text-muted px-2 py-2 whitespace-nowrap">
        {tenant.created_at && <RelativeTime at={tenant.created_at} />}
      </td>
    </tr>
  );
}
