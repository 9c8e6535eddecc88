"""`sightline export`: the counts of a run as the sheet that a traffic engineer hands on."""
