"""Virtual cards and the ways to present them: in-process, into a real pcscd, onto a pseudo-terminal.

They ship with the product: the demonstration, the tests and a technician without a card use the same ones. One
definition (`card.VirtualCard`) plays on every port (`card.CardPresenter`).
"""
