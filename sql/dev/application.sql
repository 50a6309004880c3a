-- SPDX-License-Identifier: MIT
-- The application's own tables as this project meets them: camelCase names, its types, columns and
-- indexes. The application creates and migrates them; this file stands in for it in tests and in
-- "automapost dev" only. "password", tokens of password resets and the like exist because the application has
-- them: the project must work without ever reading them.

CREATE TYPE "PostStatus" AS ENUM ('DRAFT', 'SCHEDULED', 'PENDING_APPROVAL', 'SENT');
CREATE TYPE "Locale" AS ENUM ('en', 'es', 'pt', 'br', 'fr');

CREATE TABLE users (
    id                     uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email                  text NOT NULL UNIQUE,
    name                   text,
    password               text,
    "avatarUrl"            text,
    "emailVerified"        boolean NOT NULL DEFAULT false,
    "onboardingCompleted"  boolean NOT NULL DEFAULT false,
    "resetPasswordToken"   text,
    "resetPasswordExpires" timestamptz,
    "linkedinId"           text,
    "linkedinAccessToken"  text,
    "linkedinRefreshToken" text,
    role                   text,
    interests              text[] NOT NULL DEFAULT '{}',
    "maxCommentsPerDay"    integer NOT NULL DEFAULT 5,
    "maxLikesPerDay"       integer NOT NULL DEFAULT 10,
    "createdAt"            timestamptz NOT NULL DEFAULT now(),
    "updatedAt"            timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE auth_providers (
    id                  uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    "userId"            uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    provider            text NOT NULL,
    "providerAccountId" text NOT NULL,
    "accessToken"       text,
    "refreshToken"      text,
    "expiresAt"         timestamptz,
    scope               text,
    "createdAt"         timestamptz NOT NULL DEFAULT now(),
    "updatedAt"         timestamptz NOT NULL DEFAULT now(),
    UNIQUE (provider, "providerAccountId")
);

CREATE TABLE posts (
    id                uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    "userId"          uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    content           text NOT NULL,
    "firstComment"    text,
    "scheduledTo"     timestamptz,
    "publishedAt"     timestamptz,
    status            "PostStatus" NOT NULL DEFAULT 'DRAFT',
    providers         text[] NOT NULL DEFAULT '{}',
    "authProviderIds" text[] NOT NULL DEFAULT '{}',
    "deletedAt"       timestamptz,
    "createdAt"       timestamptz NOT NULL DEFAULT now(),
    "updatedAt"       timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX "posts_userId_idx" ON posts ("userId");
CREATE INDEX "posts_scheduledTo_idx" ON posts ("scheduledTo");
CREATE INDEX "posts_status_idx" ON posts (status);
CREATE INDEX "posts_deletedAt_idx" ON posts ("deletedAt");

-- Read at most, to tell who is active.
CREATE TABLE sessions (
    id               uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    "userId"         uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    "isActive"       boolean NOT NULL DEFAULT true,
    "lastActivityAt" timestamptz NOT NULL DEFAULT now(),
    "createdAt"      timestamptz NOT NULL DEFAULT now()
);

-- Never touched: they are here so that a test can prove it.
CREATE TABLE sisu_activities (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    "userId"    uuid REFERENCES users (id) ON DELETE CASCADE,
    "createdAt" timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE leads (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email       text NOT NULL,
    "createdAt" timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE blog_posts (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    slug        text NOT NULL UNIQUE,
    "createdAt" timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE blog_post_translations (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    "blogPostId" uuid NOT NULL REFERENCES blog_posts (id) ON DELETE CASCADE,
    locale       "Locale" NOT NULL,
    title        text NOT NULL,
    content      text NOT NULL,
    UNIQUE ("blogPostId", locale)
);

CREATE TABLE post_chat_messages (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    "postId"    uuid NOT NULL REFERENCES posts (id) ON DELETE CASCADE,
    content     text NOT NULL,
    "createdAt" timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE message_queue (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    payload     jsonb NOT NULL DEFAULT '{}',
    "createdAt" timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE client_errors (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    message     text NOT NULL,
    "createdAt" timestamptz NOT NULL DEFAULT now()
);
