// Who is signed in. Pages below `RequireSession` can rely on a session; nothing of them is drawn before it is known.
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Navigate, Outlet, useLocation, useNavigate } from "react-router";
import { api, ApiProblem, body } from "../api/client";
import { ErrorNotice } from "../components/error-notice";
import { NotFound } from "./not-found";

const key = ["me"];

export function useSession() {
  return useQuery({ queryKey: key, queryFn: () => body(api.GET("/v1/auth/me")), staleTime: 60_000 });
}

export function useSignIn() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (credentials: { username: string; password: string }) =>
      body(api.POST("/v1/auth/login", { body: credentials })),
    onSuccess: async () => {
      queries.clear();
      await queries.invalidateQueries({ queryKey: key });
    },
  });
}

export function useSignOut() {
  const queries = useQueryClient();
  const navigate = useNavigate();
  return useMutation({
    mutationFn: () => body(api.POST("/v1/auth/logout")),
    onSettled: async () => {
      await navigate("/sign-in");
      queries.clear();
    },
  });
}

export function RequireSession({ children }: { children: ReactNode }) {
  const { t } = useTranslation();
  const session = useSession();
  const location = useLocation();
  if (session.data) return children;
  if (session.error instanceof ApiProblem && session.error.status === 401) {
    const from = location.pathname + location.search;
    return <Navigate to={`/sign-in?next=${encodeURIComponent(from)}`} replace />;
  }
  if (session.error) {
    return (
      <main className="mx-auto max-w-lg p-8">
        <ErrorNotice error={session.error} onRetry={() => void session.refetch()} />
      </main>
    );
  }
  return <p className="text-muted p-8 text-center">{t("app.loading")}</p>;
}

/** Pages of the platform; to anybody else they do not exist. */
export function RequireSuperAdmin() {
  const session = useSession();
  return session.data?.is_super_admin ? <Outlet /> : <NotFound />;
}
