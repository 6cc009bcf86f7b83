"""What may go wrong with vouchers at headquarters: the branch `VoucherDeskError` of the error tree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from config.errors import JingkaError, Retry, Words
from sync.headquarters.errors import HeadquartersError
from terminal.vouchers.build import VouchersTooMany
from terminal.vouchers.register import VouchersKeyMismatch
from terminal.vouchers.voucher_list import VoucherListError


class VoucherDeskError(HeadquartersError):
    """The branch: anything about the register of vouchers and the lists that make it."""

    code = "voucher-desk-error"
    retry = Retry.PARK
    what = Words("券登记册出错", "something is wrong with the register of vouchers")


class VoucherListMissing(VoucherDeskError):
    """No such list."""

    code = "voucher-list-missing"
    what = Words("没有编号为{subject}的券清单", "there is no list of vouchers {subject}")
    hint = Words("请在券页面核对", "look at the page of the vouchers")


class VoucherListSettled(VoucherDeskError):
    """The list has been put in force or discarded already, or a newer one has taken its place."""

    code = "voucher-list-settled"
    what = Words("券清单{subject}已处理（{state}）", "the list of vouchers {subject} is settled already ({state})")
    hint = Words("如需更改请重新导入", "import it again to change anything")


class VoucherListOutdated(VoucherDeskError):
    """The register changed after the list was compared with it: the preview is not what would happen."""

    code = "voucher-list-outdated"
    what = Words(
        "券清单{subject}预览之后，登记册已有改动", "the register has changed since the list {subject} was previewed"
    )
    hint = Words("请重新导入并再看一次预览", "import it again and look at the new preview")


class VoucherCodeMistyped(VoucherDeskError):
    """No code: a length, a character or the check character is wrong. What was typed is not repeated."""

    code = "voucher-code-mistyped"
    what = Words("券号有误", "that is no voucher's code")
    hint = Words("请逐位核对券号", "compare every character")


class VoucherUnregistered(VoucherDeskError):
    """A good code, but not one of ours."""

    code = "voucher-unregistered"
    what = Words("登记册中没有这张券", "this voucher is not in the register")
    hint = Words("请核对券号；新券请先导入清单", "compare the code; new vouchers come with a list")


class VoucherOfferMissing(VoucherDeskError):
    """No voucher of that offer is registered."""

    code = "voucher-offer-missing"
    what = Words("登记册中没有优惠{subject}的券", "the register holds no vouchers of the offer {subject}")
    hint = Words("请在券页面核对", "look at the page of the vouchers")


class RegisterReplaced(VoucherDeskError):
    """The register that a terminal was fetching is kept no longer, or none is kept; it begins with the newer one."""

    code = "register-replaced"
    what = Words("券登记册{subject}已更新", "the register {subject} has been replaced by a newer one")
    hint = Words("终端会自动改取新登记册", "the terminal fetches the newer one by itself")


VOUCHER_STATUSES: Final[Mapping[type[JingkaError], int]] = {
    VoucherListMissing: 404,
    VoucherUnregistered: 404,
    VoucherOfferMissing: 404,
    RegisterReplaced: 404,
    VoucherCodeMistyped: 422,
    VoucherListError: 422,
    VouchersTooMany: 422,
    VouchersKeyMismatch: 409,
}
