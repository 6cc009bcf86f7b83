import typer

app = roll_app = key_app = typer.Typer()


@app.command()
def x() -> None: ...
