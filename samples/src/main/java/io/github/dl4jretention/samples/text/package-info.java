/**
 * The samples' texts: where they come from, how they are split into training and held-out parts, and how they become
 * minibatches of windows. Calls {@code lesson} and DL4J's data classes only.
 */
@NullMarked
package io.github.dl4jretention.samples.text;

import org.jspecify.annotations.NullMarked;
