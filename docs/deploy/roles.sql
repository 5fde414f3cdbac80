-- Run once by a superuser, or by the first role of a hosted product, in the product's database.
-- Row-level security would hide rows from a role without BYPASSRLS, and the dashboard refuses to start then.
CREATE ROLE workspace_dashboard LOGIN BYPASSRLS PASSWORD 'PASSWORD';
CREATE SCHEMA dashboard AUTHORIZATION workspace_dashboard;
GRANT USAGE ON SCHEMA public TO workspace_dashboard;
-- Every page
GRANT SELECT ON public.profiles, public.jobs, public.workspace_assets, public.user_library TO workspace_dashboard;
-- Extending
GRANT UPDATE (expires_at) ON public.workspace_assets TO workspace_dashboard;
-- Deleting, and the expiry
GRANT DELETE ON public.workspace_assets TO workspace_dashboard;
-- Saving to the library
GRANT INSERT ON public.user_library TO workspace_dashboard;
-- Restoring
GRANT INSERT ON public.workspace_assets TO workspace_dashboard;
GRANT DELETE ON public.user_library TO workspace_dashboard;
