/**
 * Start here: {@link io.github.dl4jretention.Retention} puts retention into a pretrained model and takes it out
 * again. May call every package of this library; none may call it.
 */
package io.github.dl4jretention;
