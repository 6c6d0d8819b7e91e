import { useTranslation } from "react-i18next";
import { ApiProblem } from "../api/client";
import { Button } from "./button";

type Props = { error: unknown; onRetry?: () => void };

/** An error where it happened: the server's sentence and the trace id that its log carries, too. */
export function ErrorNotice({ error, onRetry }: Props) {
  const { t } = useTranslation();
  const problem = error instanceof ApiProblem ? error : undefined;
  return (
    <div role="alert" className="bg-critical-soft text-critical rounded-lg p-4">
      <p className="font-semibold">{t("error.title")}</p>
      <p>{problem?.message ?? t("error.offline")}</p>
      {problem?.traceId !== undefined && (
        <p className="mt-1 font-mono text-xs">{t("error.trace", { id: problem.traceId })}</p>
      )}
      {onRetry && (
        <Button size="small" className="mt-3" onClick={onRetry}>
          {t("app.retry")}
        </Button>
      )}
    </div>
  );
}
