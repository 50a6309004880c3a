-- When publishing was first switched on; null where nobody did through setup.
ALTER TABLE automapost.installation ADD COLUMN publishing_since timestamptz;
