-- How common every token is in all lists.
SELECT token_id, places, distinctiveness FROM token_places;
