"""What the counts say: views, and reports made of them. Imports nothing from Airflow."""
