import { zodResolver } from "@hookform/resolvers/zod";
import { useForm } from "react-hook-form";
import { useTranslation } from "react-i18next";
import { useNavigate, useSearchParams } from "react-router";
import { z } from "zod";
import { ApiProblem } from "../../api/client";
import { Preferences } from "../../app/preferences";
import { useSignIn } from "../../app/session";
import { Button } from "../../components/button";
import { ErrorNotice } from "../../components/error-notice";
import { TextField } from "../../components/field";
import { safeNext } from "./safe-next";

// Zod would try to compile the schema, and the browser would report what the Content-Security-Policy refuses.
z.config({ jitless: true });
const credentials = z.object({ username: z.string().trim().min(1), password: z.string().min(1) });

export function SignInPage() {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const [parameters] = useSearchParams();
  const signIn = useSignIn();
  const form = useForm({ resolver: zodResolver(credentials), defaultValues: { username: "", password: "" } });
  const { errors } = form.formState;

  const submit = form.handleSubmit(async (values) => {
    await signIn.mutateAsync(values).then(
      () => navigate(safeNext(parameters.get("next")), { replace: true }),
      () => {
        form.setFocus("password", { shouldSelect: true });
      },
    );
  });

  return (
    <main className="flex min-h-screen flex-col items-center justify-center gap-6 p-4">
      <form
        onSubmit={(event) => void submit(event)}
        noValidate
        className="bg-surface border-line shadow-card flex w-full max-w-sm flex-col gap-4 rounded-lg border p-6"
      >
        <h1 className="text-xl font-bold">{t("signIn.title")}</h1>
        <TextField
          label={t("signIn.identity")}
          autoComplete="username"
          error={errors.username && t("signIn.required", { field: t("signIn.identity").toLowerCase() })}
          {...form.register("username")}
        />
        <TextField
          label={t("signIn.password")}
          type="password"
          autoComplete="current-password"
          error={errors.password && t("signIn.required", { field: t("signIn.password").toLowerCase() })}
          {...form.register("password")}
        />
        <SignInError error={signIn.error} />
        <Button type="submit" variant="primary" disabled={signIn.isPending}>
          {signIn.isPending ? t("signIn.submitting") : t("signIn.submit")}
        </Button>
      </form>
      <Preferences />
    </main>
  );
}

function SignInError({ error }: { error: unknown }) {
  const { t } = useTranslation();
  if (!error) return null;
  const sentence =
    error instanceof ApiProblem &&
    { 401: t("signIn.failed"), 429: t("signIn.limited") }[error.status as 401 | 429];
  if (!sentence) return <ErrorNotice error={error} />;
  return (
    <p role="alert" className="bg-critical-soft text-critical rounded-md px-3 py-2">
      {sentence}
    </p>
  );
}
