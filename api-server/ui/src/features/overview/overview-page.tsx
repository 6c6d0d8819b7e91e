import { useQuery } from "@tanstack/react-query";
import { lazy, Suspense } from "react";
import { useTranslation } from "react-i18next";
import { api, body, tenantHeader } from "../../api/client";
import type { Overview } from "../../api/types";
import { useSession } from "../../app/session";
import { TenantLink, useTenant } from "../../app/tenant-link";
import { Card } from "../../components/card";
import { EmptyState } from "../../components/empty-state";
import { ErrorNotice } from "../../components/error-notice";
import { RelativeTime } from "../../components/relative-time";
import { ScoreRing } from "../../components/score-ring";
import { Skeleton } from "../../components/skeleton";
import { SeverityCounts } from "./severity-counts";
import { WorstFindings } from "./worst-findings";

// Half of the script is the chart's library: it comes when a chart is shown.
const TrendChart = lazy(() => import("./trend-chart").then((chart) => ({ default: chart.TrendChart })));

/** Without a tenant of one's own, one must be chosen first. */
export function OverviewPage() {
  const { t } = useTranslation();
  const session = useSession().data;
  const chosen = useTenant();
  if (chosen === null && !session?.tenant) {
    const own = session?.roles.flatMap(({ tenant }) => tenant ?? []) ?? [];
    return (
      <EmptyState
        title={t("overview.chooseTenant")}
        hint={t("overview.chooseTenantHint")}
        action={
          session?.is_super_admin ? (
            <TenantLink to="/admin/tenants" className="text-link underline">
              {t("nav.tenants")}
            </TenantLink>
          ) : (
            <ul className="flex flex-wrap justify-center gap-4">
              {own.map((tenant) => (
                <li key={tenant}>
                  <TenantLink to="/" search={{ tenant }} className="text-link underline">
                    {tenant}
                  </TenantLink>
                </li>
              ))}
            </ul>
          )
        }
      />
    );
  }
  return <TenantOverview tenant={chosen} slug={chosen ?? session?.tenant?.slug ?? ""} />;
}

function TenantOverview({ tenant, slug }: { tenant: string | null; slug: string }) {
  const { t } = useTranslation();
  const overview = useQuery({
    queryKey: ["overview", tenant],
    queryFn: () => body(api.GET("/v1/overview", { headers: tenantHeader(tenant) })),
    refetchInterval: 15_000,
  });
  return (
    <>
      <h1 className="mb-4 text-xl font-bold">{t("overview.title")}</h1>
      {overview.error && <ErrorNotice error={overview.error} onRetry={() => void overview.refetch()} />}
      {overview.isPending && <Placeholder />}
      {overview.data && <Figures overview={overview.data} slug={slug} />}
    </>
  );
}

function Placeholder() {
  return (
    <div className="grid gap-4 md:grid-cols-3">
      {["score", "open", "checks"].map((name) => (
        <Skeleton key={name} className="h-52" />
      ))}
    </div>
  );
}

function Figures({ overview, slug }: { overview: Overview; slug: string }) {
  const { t } = useTranslation();
  const { checks, agents } = overview;
  if (overview.assets === 0) {
    return (
      <Card>
        <EmptyState title={t("overview.noAssets")} hint={t("overview.noAssetsHint", { tenant: slug })} />
      </Card>
    );
  }
  return (
    <div className="grid gap-4 md:grid-cols-3">
      <Card title={t("overview.score")}>
        <div className="flex flex-col items-center gap-2">
          <ScoreRing score={overview.score} />
          <p className="text-muted text-center text-xs">
            {t("overview.assessed", { passed: checks.passed, assessed: checks.passed + checks.failed })}
          </p>
        </div>
      </Card>
      <Card title={t("overview.open")}>
        <SeverityCounts counts={overview.findings} />
      </Card>
      <Card title={t("overview.checks")}>
        <dl className="grid grid-cols-[1fr_auto] gap-y-2">
          {(["passed", "failed", "waived", "not_applicable", "error"] as const).map((verdict) => (
            <Row key={verdict} name={t(`verdict.${verdict}`)} value={checks[verdict]} />
          ))}
          <Row name={t("overview.assets")} value={overview.assets} />
          <Row name={t("overview.agents")} value={t("overview.agentsOnline", agents)} />
        </dl>
        <p className="text-muted mt-3 text-xs">
          {overview.last_result_at ? (
            <>
              {t("overview.lastResult", { when: "" })}
              <RelativeTime at={overview.last_result_at} />
            </>
          ) : (
            t("overview.never")
          )}
        </p>
      </Card>
      <Card title={t("overview.worst")} className="md:col-span-2">
        <WorstFindings findings={overview.worst_findings} />
      </Card>
      <Card title={t("overview.trend")}>
        <Suspense fallback={<Skeleton className="h-48" />}>
          <TrendChart days={overview.trend} />
        </Suspense>
      </Card>
    </div>
  );
}

function Row({ name, value }: { name: string; value: string | number }) {
  const { i18n } = useTranslation();
  return (
    <>
      <dt className="text-muted">{name}</dt>
      <dd className="text-end font-semibold">
        {typeof value === "number" ? value.toLocaleString(i18n.language) : value}
      </dd>
    </>
  );
}
