import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { api, body, tenantHeader } from "../../api/client";
import { useTenant } from "../../app/tenant-link";
import { Button } from "../../components/button";
import { Card } from "../../components/card";
import { EmptyState } from "../../components/empty-state";
import { ErrorNotice } from "../../components/error-notice";
import { Pagination } from "../../components/pagination";
import { Skeleton } from "../../components/skeleton";
import { pageSize, useFilters } from "./filters";
import { FindingDrawer } from "./finding-drawer";
import { FindingFilters } from "./finding-filters";
import { FindingTable } from "./finding-table";

export function FindingsPage() {
  const { t } = useTranslation();
  const tenant = useTenant();
  const filters = useFilters();
  const list = useQuery({
    queryKey: ["findings", tenant, filters.query],
    queryFn: () =>
      body(api.GET("/v1/findings", { params: { query: filters.query }, headers: tenantHeader(tenant) })),
    placeholderData: keepPreviousData,
  });
  const page = list.data?.page;
  // Where page numbers end: behind a cursor, at the last counted page, and where a search stopped looking.
  const isAtEndOfPages =
    typeof page !== "number" ||
    (list.data?.items.length ?? 0) < pageSize ||
    page * pageSize >= (list.data?.total ?? 0);
  const further = isAtEndOfPages ? list.data?.next_cursor : undefined;
  return (
    <>
      <div className="mb-4 flex items-baseline gap-3">
        <h1 className="text-xl font-bold">{t("findings.title")}</h1>
        <p className="text-muted" aria-live="polite">
          {list.data &&
            t(list.data.total_is_exact ? "findings.count" : "findings.atLeast", { count: list.data.total })}
        </p>
      </div>
      <Card>
        <FindingFilters filters={filters} />
        {list.error && <ErrorNotice error={list.error} onRetry={() => void list.refetch()} />}
        {list.isPending && <Skeleton className="h-96" />}
        {list.data?.items.length === 0 && !further && (
          <EmptyState
            title={t("findings.empty")}
            hint={t("findings.emptyHint")}
            action={<Button onClick={filters.clear}>{t("findings.clear")}</Button>}
          />
        )}
        {list.data && list.data.items.length > 0 && (
          <FindingTable
            findings={list.data.items}
            onOpen={(id) => {
              filters.set("finding", id);
            }}
          />
        )}
        {list.data && further && (
          <div className="flex items-center justify-end gap-3 pt-3">
            {list.data.items.length < pageSize && <p className="text-muted">{t("findings.lookedAt")}</p>}
            <Button
              size="small"
              onClick={() => {
                filters.set("cursor", further);
              }}
            >
              {t("findings.further")}
            </Button>
          </div>
        )}
        {list.data && list.data.total > 0 && typeof page === "number" && (
          <Pagination
            page={page}
            pageSize={pageSize}
            total={list.data.total}
            onPage={(wanted) => {
              filters.set("page", String(wanted));
            }}
          />
        )}
      </Card>
      {filters.open !== null && (
        <FindingDrawer
          id={filters.open}
          tenant={tenant}
          onClose={() => {
            filters.set("finding", null);
          }}
        />
      )}
    </>
  );
}
