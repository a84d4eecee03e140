/**
 * Other ways not to forget, to compare with retention or to combine with it: penalties on the distance from the start
 * (L2-SP, EWC, MAS), replay of source text and of what the model itself writes, and what happens before or after a step
 * (Mixout, KlTrustRegion, PullToStart). Calls the teacher package for output layers and masks, the checkpoint package for
 * iterators that a run can restart, the loss and internal packages, DL4J and ND4J.
 */
@NullMarked
package io.github.dl4jretention.baseline;

import org.jspecify.annotations.NullMarked;
