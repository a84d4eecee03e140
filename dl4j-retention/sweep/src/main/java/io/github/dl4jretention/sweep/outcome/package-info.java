/**
 * What a sweep has found: its candidates, their Pareto front, the recommended operating point. Calls the sweep's spaces
 * and tasks and the eval package.
 */
package io.github.dl4jretention.sweep.outcome;
