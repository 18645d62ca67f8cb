"""The codes of the sandbox provider: one stated table.

Decision: the provider documents no code but "00" (provider/contract.md 1), so these are the sandbox's own; nothing in
the gateway may know them but through an account's `codes` setting.
"""

from enum import StrEnum
from typing import Final


class Code(StrEnum):
    """What an answer of the provider says."""

    SUCCESS = "00"
    AUTH = "01"
    IP = "02"
    BALANCE = "03"
    CONTENT = "04"
    RECIPIENT = "05"
    TOO_MANY_MOBILES = "06"
    DUPLICATE = "07"
    THROTTLED = "08"
    EXT_NO = "09"
    TASK_ID = "10"


MESSAGES: Final[dict[Code, str]] = {
    Code.SUCCESS: "成功",
    Code.AUTH: "账号或密码错误",
    Code.IP: "IP未授权",
    Code.BALANCE: "余额不足",
    Code.CONTENT: "短信内容为空",
    Code.RECIPIENT: "手机号码错误",
    Code.TOO_MANY_MOBILES: "手机号码超过3000个",
    Code.DUPLICATE: "taskId重复",
    Code.THROTTLED: "请求过于频繁",
    Code.EXT_NO: "extNo只能为正整数",
    Code.TASK_ID: "taskId格式错误",
}
