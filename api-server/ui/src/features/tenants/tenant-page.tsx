import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Link, useParams } from "react-router";
import { api, body } from "../../api/client";
import type { Condition, Tenant } from "../../api/types";
import { Card } from "../../components/card";
import { ErrorNotice } from "../../components/error-notice";
import { RelativeTime } from "../../components/relative-time";
import { Skeleton } from "../../components/skeleton";
import { useTenantEvents } from "./live";
import { LiveBadge } from "./live-badge";
import { Readiness } from "./readiness";

const columns = ["condition", "state", "reason", "message", "since"] as const;

export function TenantPage() {
  const { t } = useTranslation();
  const { slug = "" } = useParams();
  const isLive = useTenantEvents();
  const tenant = useQuery({
    queryKey: ["tenants", "one", slug],
    queryFn: () => body(api.GET("/v1/tenants/{id}", { params: { path: { id: slug } } })),
  });
  return (
    <>
      <Link to="/admin/tenants" className="text-link text-xs hover:underline">
        {t("tenants.back")}
      </Link>
      <div className="mt-1 mb-4 flex items-center justify-between">
        <h1 className="text-xl font-bold">{tenant.data?.display_name ?? slug}</h1>
        <LiveBadge isLive={isLive} />
      </div>
      {tenant.error && <ErrorNotice error={tenant.error} onRetry={() => void tenant.refetch()} />}
      {tenant.isPending && <Skeleton className="h-64" />}
      {tenant.data && <Details tenant={tenant.data} />}
    </>
  );
}

function Details({ tenant }: { tenant: Tenant }) {
  const { t } = useTranslation();
  return (
    <Card
      title={t("tenants.conditions")}
      action={
        <Link to={`/?tenant=${encodeURIComponent(tenant.slug)}`} className="text-link hover:underline">
          {t("tenants.view")}
        </Link>
      }
    >
      {tenant.managed_by && (
        <p className="bg-sunken mb-3 rounded p-2">{t("tenants.managedBy", { manager: tenant.managed_by })}</p>
      )}
      <div className="overflow-x-auto">
        <table className="w-full text-start">
          <thead className="text-muted border-line border-b text-xs">
            <tr>
              {columns.map((column) => (
                <th key={column} scope="col" className="px-2 py-2 text-start font-semibold">
                  {t(`tenants.${column}`)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody className="divide-line divide-y">
            {tenant.conditions.map((condition) => (
              <ConditionRow key={condition.type} condition={condition} />
            ))}
          </tbody>
        </table>
      </div>
    </Card>
  );
}

function ConditionRow({ condition }: { condition: Condition }) {
  return (
    <tr className="align-top">
      <td className="px-2 py-2 font-medium" dir="ltr">
        {condition.type}
      </td>
      <td className="px-2 py-2">
        <Readiness status={condition.status} />
      </td>
      <td className="px-2 py-2" dir="ltr">
        {condition.reason}
      </td>
      <td className="text-muted px-2 py-2" dir="auto">
        {condition.message}
      </td>
      <td className="text-muted px-2 py-2 whitespace-nowrap">
        <RelativeTime at={condition.last_transition_time} />
      </td>
    </tr>
  );
}
