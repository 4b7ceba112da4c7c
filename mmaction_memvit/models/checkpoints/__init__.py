# Copyright (c) mmaction_memvit contributors. All rights reserved.
