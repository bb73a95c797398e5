# SPDX-License-Identifier: Apache-2.0

"""Who should have the network link: our rule and others, on a fluid model.

Ours is the production code as it is; guests and links are simulated. A pass
over the memory takes what it has to send divided by its rate, and meanwhile a
guest that writes at rate d in a working set of W dirties W(1 - exp(-d t / W)).
"""
