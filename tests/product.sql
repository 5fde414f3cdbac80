-- A product database as the dashboard meets one: the four tables with more columns than the dashboard
-- reads, made by others. The product runs on Django too, and has that framework's tables in public.

CREATE FUNCTION public.touch_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;

CREATE TABLE public.profiles (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    username text UNIQUE,
    email text,
    avatar_url text,
    subscription_status text DEFAULT 'inactive',
    stripe_customer_id text,
    token_balance integer DEFAULT 0,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    age_verified boolean DEFAULT false,
    preferences jsonb DEFAULT '{}'::jsonb
);
ALTER TABLE public.profiles ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_profile ON public.profiles
    USING (id = nullif(current_setting('request.user_id', true), '')::uuid);
CREATE TRIGGER profiles_touch BEFORE UPDATE ON public.profiles
    FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at();

CREATE TABLE public.jobs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid REFERENCES public.profiles (id) ON DELETE CASCADE,
    job_type text,
    status text DEFAULT 'queued' CHECK (status IN ('queued', 'processing', 'completed', 'failed')),
    error_message text,
    attempts integer DEFAULT 0,
    worker_id text,
    priority smallint NOT NULL DEFAULT 0,
    metadata jsonb DEFAULT '{}'::jsonb,
    created_at timestamptz DEFAULT now(),
    started_at timestamptz,
    completed_at timestamptz,
    format text,
    quality text,
    model_type text,
    original_prompt text,
    enhanced_prompt text,
    moderation_status text,
    reviewed_at timestamptz,
    reviewed_by uuid,
    review_notes text,
    destination text DEFAULT 'library' CHECK (destination IN ('library', 'workspace')),
    template_name text
);
ALTER TABLE public.jobs ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_jobs ON public.jobs
    USING (user_id = nullif(current_setting('request.user_id', true), '')::uuid);
CREATE INDEX jobs_queue ON public.jobs (status, priority DESC, created_at);

-- No key on job_id: jobs are cleaned up while their assets live.
CREATE TABLE public.workspace_assets (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL,
    asset_type text NOT NULL CHECK (asset_type IN ('image', 'video')),
    temp_storage_path text NOT NULL,
    file_size_bytes bigint NOT NULL,
    mime_type text NOT NULL,
    duration_seconds numeric(10,3),
    job_id uuid NOT NULL,
    asset_index integer NOT NULL DEFAULT 0,
    generation_seed bigint NOT NULL,
    original_prompt text NOT NULL,
    model_used text NOT NULL,
    generation_settings jsonb DEFAULT '{}'::jsonb,
    created_at timestamptz DEFAULT now(),
    expires_at timestamptz DEFAULT (now() + interval '7 days'),
    thumbnail_path text,
    width integer,
    height integer,
    bucket text NOT NULL DEFAULT 'workspace-temp',
    signed_url text,
    UNIQUE (job_id, asset_index)
);
-- Keys are not enforced everywhere: rows that were there before this one may name users who are gone.
ALTER TABLE public.workspace_assets ADD CONSTRAINT workspace_assets_user_id_fkey
    FOREIGN KEY (user_id) REFERENCES public.profiles (id) NOT VALID;
CREATE INDEX idx_workspace_assets_user ON public.workspace_assets (user_id, created_at DESC);
CREATE INDEX idx_workspace_assets_expires ON public.workspace_assets (expires_at);
CREATE INDEX idx_workspace_assets_job ON public.workspace_assets (job_id, asset_index);
COMMENT ON TABLE public.workspace_assets IS 'Temporary: cleaned up after 7 days';
ALTER TABLE public.workspace_assets ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_assets ON public.workspace_assets
    USING (user_id = nullif(current_setting('request.user_id', true), '')::uuid);

CREATE TABLE public.user_library (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL REFERENCES public.profiles (id) ON DELETE CASCADE,
    asset_type text NOT NULL CHECK (asset_type IN ('image', 'video')),
    storage_path text NOT NULL,
    file_size_bytes bigint NOT NULL,
    mime_type text NOT NULL,
    duration_seconds numeric(10,3),
    original_prompt text NOT NULL,
    model_used text NOT NULL,
    generation_seed bigint,
    collection_id uuid,
    custom_title text,
    tags text[] DEFAULT '{}',
    is_favorite boolean DEFAULT false,
    visibility text DEFAULT 'private' CHECK (visibility IN ('private', 'unlisted', 'public')),
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    thumbnail_path text,
    width integer,
    height integer,
    view_count integer NOT NULL DEFAULT 0
);
CREATE INDEX idx_user_library_tags ON public.user_library USING gin (tags);
ALTER TABLE public.user_library ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_or_public ON public.user_library FOR SELECT
    USING (visibility = 'public' OR user_id = nullif(current_setting('request.user_id', true), '')::uuid);

CREATE TRIGGER user_library_touch BEFORE UPDATE ON public.user_library
    FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at();

-- The roles of the API over this schema, which see what a policy lets their user see.
DO $roles$
BEGIN
    IF to_regrole('anon') IS NULL THEN
        CREATE ROLE anon NOLOGIN;
        CREATE ROLE authenticated NOLOGIN;
    END IF;
END
$roles$;
GRANT USAGE ON SCHEMA public TO anon, authenticated;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO anon;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO authenticated;

CREATE TABLE public.django_migrations (
    id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    app varchar(255) NOT NULL,
    name varchar(255) NOT NULL,
    applied timestamptz NOT NULL
);
-- A name that the dashboard has a migration of as well, so that a mix-up shows.
INSERT INTO public.django_migrations (app, name, applied) VALUES ('auth', '0001_initial', '2024-02-29 12:00+00');

CREATE TABLE public.auth_user (
    id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    password varchar(128) NOT NULL,
    last_login timestamptz,
    is_superuser boolean NOT NULL,
    username varchar(150) NOT NULL UNIQUE,
    first_name varchar(150) NOT NULL,
    last_name varchar(150) NOT NULL,
    email varchar(254) NOT NULL,
    is_staff boolean NOT NULL,
    is_active boolean NOT NULL,
    date_joined timestamptz NOT NULL
);
INSERT INTO public.auth_user
    (password, is_superuser, username, first_name, last_name, email, is_staff, is_active, date_joined)
    VALUES ('!', true, 'staff', 'The product''s', 'own', '', true, true, '2024-02-29 12:00+00');
