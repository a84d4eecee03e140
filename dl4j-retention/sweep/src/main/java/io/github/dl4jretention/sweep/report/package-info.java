/** The report of a sweep as an HTML page, and its plots. Calls the sweep's outcome, space, task and plot packages. */
@NullMarked
package io.github.dl4jretention.sweep.report;

import org.jspecify.annotations.NullMarked;
