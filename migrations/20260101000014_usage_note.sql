-- Why the usage of a call is not simply what its provider counted: a word, nothing if it is.

ALTER TABLE calls ADD COLUMN usage_note TEXT;
