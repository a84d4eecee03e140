/**
 * What you see on the screen while a sample runs. Calls no other package of the samples.
 */
@NullMarked
package io.github.dl4jretention.samples.console;

import org.jspecify.annotations.NullMarked;
