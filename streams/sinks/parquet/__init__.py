"""Events as Parquet files, a folder for each day."""
