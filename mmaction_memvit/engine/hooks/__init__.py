# Copyright (c) mmaction_memvit contributors. All rights reserved.
from .memory_bank_hook import MemoryBankHook
from .step_seed_hook import StepSeedHook

__all__ = ['MemoryBankHook', 'StepSeedHook']
