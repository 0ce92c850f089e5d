-- How common every token is in all lists.
SELECT token_id, places FROM token_places;
