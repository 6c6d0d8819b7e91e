import { useQuery } from "@tanstack/react-query";
import { X } from "lucide-react";
import { useEffect, useRef, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { api, body, tenantHeader } from "../../api/client";
import type { Finding } from "../../api/types";
import { Button } from "../../components/button";
import { ErrorNotice } from "../../components/error-notice";
import { RelativeTime } from "../../components/relative-time";
import { SeverityBadge } from "../../components/severity-badge";
import { Skeleton } from "../../components/skeleton";

type Props = { id: string; tenant: string | null; onClose: () => void };

/** A finding with its evidence, beside the list. A modal dialog: focus stays in it, Escape closes it. */
export function FindingDrawer({ id, tenant, onClose }: Props) {
  const { t } = useTranslation();
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  const finding = useQuery({
    queryKey: ["finding", tenant, id],
    queryFn: () =>
      body(api.GET("/v1/findings/{id}", { params: { path: { id } }, headers: tenantHeader(tenant) })),
  });
  return (
    <dialog
      ref={dialog}
      onClose={onClose}
      aria-labelledby="finding-title"
      className="bg-surface text-text ms-auto me-0 h-dvh max-h-none w-full max-w-xl overflow-y-auto p-6 backdrop:bg-black/40"
    >
      <div className="mb-4 flex items-start justify-between gap-4">
        <h2 id="finding-title" className="text-lg font-bold">
          {finding.data?.title ?? t("app.loading")}
        </h2>
        <Button
          size="icon"
          variant="ghost"
          aria-label={t("findings.close")}
          onClick={() => dialog.current?.close()}
        >
          <X aria-hidden="true" className="size-5" />
        </Button>
      </div>
      {finding.error && <ErrorNotice error={finding.error} onRetry={() => void finding.refetch()} />}
      {finding.isPending && <Skeleton className="h-64" />}
      {finding.data && <Details finding={finding.data} />}
    </dialog>
  );
}

function Details({ finding }: { finding: Finding }) {
  const { t } = useTranslation();
  return (
    <div className="flex flex-col gap-5">
      <div className="flex flex-wrap items-center gap-3">
        <SeverityBadge severity={finding.severity} />
        <span className="text-muted">
          {t(finding.status === "open" ? "findings.open" : "findings.closed")}
        </span>
      </div>
      <Section title={t("findings.evidence")}>
        <Evidence evidence={finding.evidence} />
      </Section>
      <Section title={t("findings.why")}>
        <p>{finding.rationale}</p>
      </Section>
      <Section title={t("findings.fix")}>
        <p className="whitespace-pre-wrap">{finding.remediation}</p>
      </Section>
      <dl className="grid grid-cols-[auto_1fr] gap-x-6 gap-y-1">
        <Fact name={t("findings.asset")}>{finding.asset.name}</Fact>
        <Fact name={t("findings.resource")}>{finding.resource}</Fact>
        <Fact name={t("findings.check")}>{finding.check}</Fact>
        <Fact name={t("findings.module")}>{finding.module}</Fact>
        <Fact name={t("findings.firstSeen")}>
          <RelativeTime at={finding.first_seen_at} />
        </Fact>
        <Fact name={t("findings.lastSeen")}>
          <RelativeTime at={finding.last_seen_at} />
        </Fact>
      </dl>
      <Section title={t("findings.controls")}>
        <ul className="flex flex-wrap gap-2">
          {Object.entries(finding.controls).flatMap(([framework, controls]) =>
            controls.map((control) => (
              <li
                key={`${framework} ${control}`}
                className="bg-sunken border-line rounded border px-2 py-0.5 text-xs"
              >
                {framework} {control}
              </li>
            )),
          )}
        </ul>
      </Section>
    </div>
  );
}

function Section({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section>
      <h3 className="text-muted mb-1 text-xs font-semibold">{title}</h3>
      {children}
    </section>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <>
      <dt className="text-muted">{name}</dt>
      <dd className="break-all">{children}</dd>
    </>
  );
}

/** What the agent saw, value by value; text only, whatever it holds. */
function Evidence({ evidence }: { evidence: Finding["evidence"] }) {
  return (
    <dl
      dir="ltr"
      className="bg-sunken grid grid-cols-[auto_1fr] gap-x-4 gap-y-1 rounded-md p-3 font-mono text-xs"
    >
      {Object.entries(evidence).map(([name, value]) => (
        <Fact key={name} name={name}>
          {typeof value === "string" ? value : JSON.stringify(value)}
        </Fact>
      ))}
    </dl>
  );
}
